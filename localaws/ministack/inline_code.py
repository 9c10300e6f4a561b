"""The deployment package that CloudFormation makes of a function's inline code.

The code is in a file named index, beside the module cfnresponse if it imports that by exactly
`import cfnresponse`; ministack names the file after the handler, and lacks the module.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-lambda-function-code-cfnresponsemodule.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-lambda-function-code.html
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

from localaws.lambda_runtime import cfnresponse

IMPORT = re.compile(r"^\s*import cfnresponse\s*$", re.MULTILINE)


def zipped(source: str | None, handler: str, runtime: str = "") -> bytes | None:
    """The package of Python code; None without code."""
    if not source:
        return None
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.py", source)
        if IMPORT.search(source):
            archive.write(Path(cfnresponse.__file__), "cfnresponse.py")
    return package.getvalue()
