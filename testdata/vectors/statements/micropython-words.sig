saguarota-release 1
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1,"micropython":"1.x"}
7ff694af9856cca8 z9shBCFBgg+w6vGVw+X6yMSvIAb7l9Y/5Lx9s8tx3/TVZpjtD5lCy7xtmbXIhb7yOUHgxlF4hmtRbTQda2f7Dw==
