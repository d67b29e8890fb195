"""Show a recorded chain of arrays (`nn.trace`): as panels, in the terminal and as one picture.

`panels` chooses what to show of a layer and head; `terminal` prints panels, `picture` draws them.
`text.trace`, `vision.trace` and `analysis.trace` put the panels of their networks around these.
"""
