saguarota-release 1
{"app":"badge","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3,"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"},"keyset":1}
7ff694af9856cca8 kKHDLbyosi4ydJoi06zqWlVW7L/+GQ3hMGU8X36AXh8WHg69S7APcZQflOHYST5wHT3wAhURVEuYuNgnx99TCA==
