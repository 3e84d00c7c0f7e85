saguarota-release 1
{"app":"badge","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"},"keyset":1}
7ff694af9856cca8 CO6MV4I7+dCgAg3TepNo0zsOYzaympQ7fRQ9bAZAHxI5uC3mWJIPF7DyyBovV3xIPXD2yJ4k40YonhnZoyknAA==
