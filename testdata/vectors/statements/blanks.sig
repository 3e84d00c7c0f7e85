saguarota-release 1
{ "app" : "badge", "version": 7,	"manifest": { "size": 3, "sha256": "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356" }, "keyset": 1 }
7ff694af9856cca8 YMg1PV9YIMoWZv/EHJszMp9Xzh1+IFNMq8b5oD6FwvE4CHyK6jvlqEH4ey3/w1nS4cJfT9WBfaDKBK6GOJgyDQ==
