saguarota-release 1
{"app":"badge","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3}}
7ff694af9856cca8 /G9ysu0K/PgqxSu7g4yMaejas1RWFFYC3hkOIGY20104nlU3agqXjjJUuwEQhx4RdkvbYSQ5DZokohc1soSxBw==
