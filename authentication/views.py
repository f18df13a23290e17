from django.conf import settings
from django.contrib.auth.models import User
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.generics import CreateAPIView, GenericAPIView
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from authentication.login import log_in
from authentication.models import AttemptWindow
from authentication.serializers import CredentialsSerializer, SignupSerializer, TokenSerializer
from authentication.tokens import get_or_create_token
from eventmanagement.api.mixins import MethodNotAllowedFirstMixin
from eventmanagement.serving.client_ip import client_ip


class SignupView(MethodNotAllowedFirstMixin, CreateAPIView[User]):
    serializer_class = SignupSerializer
    authentication_classes = []
    permission_classes = [AllowAny]
    http_method_names = ["post"]

    def post(self, request: Request) -> Response:
        # Count every attempt, also failed ones: the error "username already exists" reveals which usernames exist.
        AttemptWindow.objects.spend(settings.THROTTLE_SIGNUP, "signup", client_ip(request))
        return self.create(request)


class LoginView(MethodNotAllowedFirstMixin, GenericAPIView[User]):
    serializer_class = CredentialsSerializer
    authentication_classes = []
    permission_classes = [AllowAny]
    http_method_names = ["post"]

    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        credentials = serializer.validated_data
        user = log_in(request, **credentials)
        token = user and get_or_create_token(user, credentials["password"])
        if token is None:
            raise ValidationError({"non_field_errors": ["The username or the password is wrong."]})
        return Response(TokenSerializer(token).data)


class LogoutView(MethodNotAllowedFirstMixin, APIView):
    permission_classes = [IsAuthenticated]
    http_method_names = ["post"]

    def post(self, request: Request) -> Response:
        request.auth.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
