saguarota-release 1
 {"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 rYULR5Bun2tk3giIL9kRjRtA/kqo8/8Zs76iU2zx5EpV/DHmGARKRtx2jSDcTxU5gik+Yb3CJPwKiSZeAfEVCQ==
