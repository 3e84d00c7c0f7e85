saguarota-release 1
{"app":"badge","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1,"later":1,"expires":1800000000}
7ff694af9856cca8 vx2OOOhbuCWLb4TnDKiWh9gXdbK9z2F+ztdBstIRQDHfaY1ZCxRKBClsn2xZ/b8JbfOiICLKmC+vZEN83pIqCg==
