saguarota-release 1
{"app":"badge","version":7,"manifest":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","keyset":1}
7ff694af9856cca8 tt/DmNukRhkBDSHiL4sZDT7dNaiF4t6AHSA/Q7Bo485FhpAoldkKO3oIeAbOYk7ZsvImlPBpTLW8MNIwBDPICg==
