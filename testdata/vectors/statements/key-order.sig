saguarota-release 1
{"keyset":1,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"version":7,"app":"badge"}
7ff694af9856cca8 AeGJNzeIkOT8FfRMjvlLHF6BgY06oAt19/8BVOawoUxN+XbM3Csax1EawlLdK7kp8qoBl+dxN1eQL70IRQLxBg==
