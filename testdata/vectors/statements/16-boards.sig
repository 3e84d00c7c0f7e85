saguarota-release 1
{"app":"badge","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1,"boards":["board 0","board 1","board 2","board 3","board 4","board 5","board 6","board 7","board 8","board 9","board 10","board 11","board 12","board 13","board 14","board 15"]}
7ff694af9856cca8 C5UiK2DQEB1oV9mS8k+9rG7mAivABidsKgw3pEe65awDU648kkNnDcsATF6G6wjiDGHZd+ikEdhozfgg10eKBw==
