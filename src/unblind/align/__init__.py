"""The paper's regulariser: visual tokens inside the decoder stay similar to a frozen teacher's."""
