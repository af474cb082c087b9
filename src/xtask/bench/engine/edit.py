def parse_records(text, separator=",", quote='"', skip_blank=True):
    """Split text into records of fields, as in a CSV file."""
    result = []
    fields = []
    current = []
    in_quotes = False
    line_number = 1
    index = 0
    while index < len(text):
        char = text[index]
        if in_quotes:
            if char == quote:
                if index + 1 < len(text) and text[index + 1] == quote:
                    current.append(quote)
                    index += 2
                    continue
                in_quotes = False
            else:
                if char == "\n":
                    line_number += 1
                current.append(char)
        elif char == quote:
            if current:
                raise ValueError(f"line {line_number}: quote inside a field")
            in_quotes = True
        elif char == separator:
            fields.append("".join(current))
            current = []
        elif char == "\r":
            if index + 1 < len(text) and text[index + 1] != "\n":
                raise ValueError(f"line {line_number}: bare carriage return")
        elif char == "\n":
            fields.append("".join(current))
            current = []
            if skip_blank and fields == [""]:
                fields = []
                line_number += 1
                index += 1
                continue
            result.append(fields)
            fields = []
            line_number += 1
        else:
            current.append(char)
        index += 1
    if in_quotes:
        raise ValueError(f"line {line_number}: quote is not closed")
    if current or fields:
        fields.append("".join(current))
        result.append(fields)
    width = None
    for number, fields in enumerate(result, start=1):
        if width is None:
            width = len(fields)
        elif len(fields) != width:
            raise ValueError(
                f"record {number}: expected {width} fields, got {len(fields)}"
            )
    return result
