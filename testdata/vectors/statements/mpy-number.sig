saguarota-release 1
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1,"mpy":6.3}
7ff694af9856cca8 2zIfXCzhW6Nhus9vBGC0lsnP5IxIi/PIC5ngvfstg8HBe4fayxastCg8ZV/AE39YcyASHkVBpQ95Za99lB/sDQ==
