saguarota-release 1
{"app":"badge","version":"7","manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 iEf+BcZ3b9KrS84H8QuxLmCxDP20IOLI4cOEQy+Gq/vzIYe1sNi86Hb9ZtFDON5Hk4qsEA9SbXDJnAc+2PPNCw==
