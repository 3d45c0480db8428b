"""bridges to other tools: what people have comes in, and what others read goes out.

1. A reader turns a source into steps (`steps`) and records nothing.
2. The plan (`plan`) brings steps in: it counts first, then writes in batches.

Imported by: nothing.
Imports: nothing.
"""
