saguarota-release 1
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1,"boards":["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","q"]}
7ff694af9856cca8 f2SNM4+0loQZVYzhu3krzYnEeOjqU3UuWNf/gtQbFoTZ/uoXrZ13+0kEBjBC5INfQ4E7bM1gaKdNAo3WzBgbAQ==
