saguarota-release 1
{"app":"badge","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":0}
7ff694af9856cca8 Y+sGTWGCYfd4RFZH0KG93QPw8RZiRkMLbxf2FxJVUifEXcHpVGpmWcnSpt36W0U+sp49jpHA6eBmj5vmIfpICA==
