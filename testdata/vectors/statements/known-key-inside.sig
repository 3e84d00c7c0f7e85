saguarota-release 1
{"app":"badge","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1,"later":{"boards":["rp2"]}}
7ff694af9856cca8 I/FC7r55CNd+8ktUAS/sUpK4MIkYO0i+SEBLNovVT2S6r/rwEV7MqsPt3dOvv//Eb5iQmaCjSV+xU8bD/BVaDw==
