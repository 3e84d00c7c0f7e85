saguarota-release 1
{"app":"éééééééééééééééééééééééééééééééé","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 +BXJs3av475sNHXtu/JyaZW70uxOeDD7c+1uM5051pdkPdQpt5P+9iNALlwTAhQnqT51Sqh/R5lUAg+AJ0pjAQ==
