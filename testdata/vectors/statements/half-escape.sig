saguarota-release 1
{"app":"\ud83c","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 3GqVbYe2vzrtp8X3qpqCPmFiK/bMY0sFR0eUFICwSaSid6U4B6gbfwW9yxxiDBrBfPWuyJUnDA8ky/RmS0mEDg==
