saguarota-release 1
{"app":"a\u0000","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 bT7dV8G1AnOUwkUEkS6uJ4LgnqgjttIVWAtaBf5tq4bDN+BP7dSMHox/Wh5mDysv25NnmEWXQwpiSt7HlkSWCA==
