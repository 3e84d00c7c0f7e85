saguarota-release 1
{"app":"badge","version":-1,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 hZJm//OdUIZJyiINecRQwFdiAoKCJ0rXdgpMQp6k35Q4zO9c0/YZckpg4SYIRtlhSi0r1Yd2fNuaB4QroQqFCw==
