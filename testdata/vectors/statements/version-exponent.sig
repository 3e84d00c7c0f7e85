saguarota-release 1
{"app":"badge","version":7e0,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 Q+K+QE950k1aQj7n12vcL0io+SPCa0m/dD/4IK685mC5WeuiPXjH2Yq4oTNZMztvEdiOKIJJ+0YadR3cnazrCA==
