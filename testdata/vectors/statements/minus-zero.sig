saguarota-release 1
{"app":"badge","version":-0,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 PU5BlydlA53kWZbKn8wxlD/6tOSNz+8QFhZMYddkft20y0rsUq69iQraa3hUM24YhYL8oh2LWREZv9t6Mu2jDg==
