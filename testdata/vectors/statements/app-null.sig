saguarota-release 1
{"app":null,"version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 L4+9SzRDIcKn+NOjMV/IS/KxZnm4wAGb/L6oYYvSA8EjcAK9+sWM9NKQyA6XNKi38DCHuZ/hoZ1uwhicRoCVDQ==
