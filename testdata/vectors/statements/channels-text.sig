saguarota-release 1
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1,"channels":"stable"}
7ff694af9856cca8 hTovQRQn5c/XrgRFTuUy7DwbT36AasDv9ZS5WYPWaWMVfeEOKRozN5lJ0gavsg3u9WwWPGD8Np7NhdcK8Iz5Bw==
