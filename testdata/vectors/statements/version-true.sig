saguarota-release 1
{"app":"badge","version":true,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 yRzOuyyJ/YglpgcsBPKEAGY1oFBum5HsZLo13zTLEMQ5gNRMyBLCODz2aMsHnz8IlhVTILdALiVYSenaB+/wBw==
