saguarota-release 1
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
5195db7c8fd8b04c bAhj7jZPYf2mm6bRFpIvSXjvxy5lWKyVa4GT2LQ85MnJ0bNBH5Ij3/YT/PJMDf7EH9GIg2FO+kOJSt44fxISAQ==
7ff694af9856cca8 pSZkCMd9OSdjHUh6MUNEA/jVQd6Mo6WLoLQzWLmrmpKuI3skX25dNaMoA5IjEmt1gHqFBWmTnWfUUekuRSlNBg==
