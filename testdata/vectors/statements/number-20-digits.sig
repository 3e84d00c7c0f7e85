saguarota-release 1
{"app":"badge","version":10000000000000000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 qokdFeS9Gl12FWLwj9/yxKLhMyKnYjQl7PrzGkSVR4tDgedDuXEcZV3aOsbREPmDaUBdiS3viEInh6ob4o1YCA==
