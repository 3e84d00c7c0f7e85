saguarota-release 1
{"app":1,"version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 1ygS+mPbLU7KSq4Ed4wkwD6wOOxsFT8/BvEGdlsQYmuJKM5HsmrXDvRXBcPb0ZdCMKkwUxWnl1bELXwGiPYAAg==
