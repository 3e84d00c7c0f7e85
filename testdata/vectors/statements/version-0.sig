saguarota-release 1
{"app":"badge","version":0,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 g8Yl3WEB5mDkCrDp0HnObkoVupdVVtsukBd/eDVP4c6XnD9UACOjmQNwlq63YCjXpgiLg6a1LkVIF02fi6VcAg==
