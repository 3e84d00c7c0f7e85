saguarota-release 1
{"app":"badge","version":9223372036854775808,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 zrXfnD1ekLy7wvoGAv486zUO+0QcJoZft+62N3xWY/zIgaMqfTp3hWMjecTPwb1RZd7Tw4ygvd4MDFKpABtRDA==
