saguarota-release 1
{"app":"bdge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 tu6Yby3d14aZoOdzYCjv6UeQglPK+RDw5mNRioPHxPH3iPC7rCHGkJRqrZ6PamLEp+3B4NWAGA43/c6m2h6lDg==
