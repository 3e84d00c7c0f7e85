saguarota-release 1
{"later":1,"app":"badge","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 LKHlB7q07lPGvSQK5MZx9uLWlbdGye7oTjCycoo783FDVBDzAEu84ng5a4Zxt6jAlXoo2CVViAoAICBSJjyTDA==
