saguarota-release 1
{"app":"b¿Ädge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 jB7GqKgHo842EbcaLGLvCKAxAkp/THPC4Q/4m7RpEc/edQDVGmp8cf2xLlTm9XCvutDVYXZ1cyE1L4QCDLygBA==
