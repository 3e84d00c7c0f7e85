saguarota-release 1
{"app":"bÿdge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 QNCH6rHT4nMZqtNJN0JemeOkg2B74Fz34tDfVg7de4w69huZHfRrBFKSzMss7mIm7JYRQ8LlPjbzDHchyz0yDg==
