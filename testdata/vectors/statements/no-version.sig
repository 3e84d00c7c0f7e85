saguarota-release 1
{"app":"badge","manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 EQOaFJ0rC1/COpPjibx2QS9Xu63t6l3w1uS3AjUI/Yp9BEOmflFaqevbWKVdHPdBVuWjue9kAHz5KJ6CEztDCw==
