saguarota-release 1
{"app":"badge","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3,"md5":null},"keyset":1}
7ff694af9856cca8 0MP7Qc5Fn0/Dz10kOUvQF5NzSEkmK2d5nlJ3hP7FOrRn6OTQdSci6JJnYBKFIjnmV42xjPat9Oef7SgZ4iwyDA==
