saguarota-release 2
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 KbX4P+LK3b8fZZDxxR0JzpTgr+SVA0NW9diibB1vDGW/ZsH6U9g1757hdC0D+OKwLrkuzLM7KvccG8FzD/ceCw==
