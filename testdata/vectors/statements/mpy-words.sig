saguarota-release 1
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1,"mpy":"six"}
7ff694af9856cca8 QtRJZwdpj3/z1+XMRGCGg6LU4nEL9dd52trJiEmjKvPz6Wy+zZuJM6DVIlWD+5BqCYBsISqlAKZye1AYa/ByAQ==
