saguarota-release 1
{"app":"badge","version":7.0,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 lIcBPL7QO2EiptJOriamH+8ar/6eWW4v4TBTVHxr3pM3uoeaPLs/O9PdjyZ0tdrTvcbXmZJoiSBhfrDe9sk2AA==
