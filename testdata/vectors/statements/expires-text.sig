saguarota-release 1
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1,"time":1,"expires":"soon"}
7ff694af9856cca8 xKdU7qDGQHk+qdikDRvpF7X5prDiFTTFVWjonMCswHS5Js61wwJOrQofYKqE7cHF48TdVsbB0XqAsF1vdcBdAg==
