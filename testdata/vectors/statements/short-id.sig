saguarota-release 1
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
ff694af9856cca8 pSZkCMd9OSdjHUh6MUNEA/jVQd6Mo6WLoLQzWLmrmpKuI3skX25dNaMoA5IjEmt1gHqFBWmTnWfUUekuRSlNBg==
