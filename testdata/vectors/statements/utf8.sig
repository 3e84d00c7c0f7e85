saguarota-release 1
{"app":"säule 🌵","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 KUsNA88bfdulRTiogaoqxbLDF9/SkwWaRmf9E0+5FwT+pBDEqwfH3D3c/raaYEMwdGAGtDg/uDVF9pa3jbKWCQ==
