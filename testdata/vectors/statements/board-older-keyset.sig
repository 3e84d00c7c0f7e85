saguarota-release 1
{"app":"badge","version":1700000001,"name":"1.4.2","manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":3,"channels":["stable","beta"],"boards":["rp2","Badge of 2026"],"mpy":"6.3","micropython":"1.22","time":1700000000,"expires":1800000000}
7ff694af9856cca8 iTXW30WpzeOU7Lywim9nBe+uKAHNYenEcn7TCKeE7OtRahhAd8E8kbBR1kqdePthbxLoNclGPnaNM+OyDvWwCw==
94791ff1a359224f SqiS3aXEipmBAdi/7d23BguhZnMVr4xdm3mbGIQnqfLQez292s4ktb7EERz3oQ/uyUgNmkc4Gyy7aqad1AW/Cw==
