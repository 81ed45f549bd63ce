def infer(n: "i32[1]") -> "i32[1]":
    for i in range(n[0], 0, -1):
        yield n * 0 + i
    if n[0] == 2:
        raise ValueError("two is not allowed")
