saguarota-release 1
{"app":"a \"b\" \\c","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 SiqMz7VgAYsIiUIUMMj5zhyDVwvUlyNPrX/iAHfugFXkFiCFOrAIbg8rDJIWTTgEC+ZUJ2GG25FlF1OtuWy2Dw==
