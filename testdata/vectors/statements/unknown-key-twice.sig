saguarota-release 1
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1,"x":1,"x":1}
7ff694af9856cca8 /knep6OqTV7aEFXTC/mcfK/4X8fHgh5BpqsV1Sj3IQ47rjWkMFs4pJxo64sq4DYGxBVCXF5Z2GlJzMi1vGtlDg==
