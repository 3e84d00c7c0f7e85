saguarota-release 1
{"version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 01TPkmFFo9JOzn5Zlc71ujufQo6p8xyPiGYcgv2okufOYZDhPUx5pRaWmk4q1C/G72AliXMISaSYhSvCCYBKAg==
