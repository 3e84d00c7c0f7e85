saguarota-release 1
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1,"v\u0065rsion":7}
7ff694af9856cca8 gefnxJI0zpEjXJIYCe8/cd9dzu3Q+IGiMoltD/rnJ2gProIkFhSysfkMBDDL4ThpkPkjNcNT6s1W22lQBwnwCQ==
