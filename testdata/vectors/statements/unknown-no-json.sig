saguarota-release 1
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1,"x":}
7ff694af9856cca8 /+j1wZigPVsUF8oCJx542RkRjSx3SbNHQiaOVWQ1gz5Zof1uE3e5qYaBPiBioYbzqxI/Tsf6on+GggUow5ZLCA==
