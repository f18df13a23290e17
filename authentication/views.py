from django.conf import settings
from django.contrib.auth.models import User
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed, ValidationError
from rest_framework.generics import CreateAPIView, GenericAPIView, RetrieveUpdateAPIView
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from authentication.accounts import change_password, delete_account
from authentication.login import confirm_password, log_in
from authentication.models import AttemptWindow
from authentication.serializers import (
    AccountDeletionSerializer,
    AccountSerializer,
    CredentialsSerializer,
    PasswordChangeSerializer,
    SignupSerializer,
    TokenSerializer,
    validate_new_password,
)
from authentication.tokens import INVALID_TOKEN, get_or_create_token
from eventmanagement.api.mixins import MethodNotAllowedFirstMixin
from eventmanagement.serving.client_ip import client_ip

WRONG_PASSWORD = "The password is wrong."  # noqa: S105 (a message)


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


class MeView(MethodNotAllowedFirstMixin, RetrieveUpdateAPIView[User]):
    """The user's own account."""

    queryset = User.objects.only("id", "username", "email")
    serializer_class = AccountSerializer
    permission_classes = [IsAuthenticated]
    http_method_names = ["get", "head", "patch"]

    def get_object(self) -> User:
        # The authentication loads no email address.
        user = self.get_queryset().filter(pk=self.request.user.pk).first()  # type: ignore[misc]  # Not None here.
        if user is None:
            raise AuthenticationFailed(INVALID_TOKEN)
        return user

    def perform_update(self, serializer: BaseSerializer[User]) -> None:
        try:
            serializer.save()
        except User.DoesNotExist:
            raise AuthenticationFailed(INVALID_TOKEN) from None


class PasswordView(MethodNotAllowedFirstMixin, GenericAPIView[User]):
    serializer_class = PasswordChangeSerializer
    permission_classes = [IsAuthenticated]
    http_method_names = ["post"]

    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        old, new = serializer.validated_data["old_password"], serializer.validated_data["new_password"]
        user = confirm_password(request, old)
        if user:
            validate_new_password("new_password", new, user)
        token = user and change_password(user, old, new)
        if token is None:
            raise ValidationError({"old_password": [WRONG_PASSWORD]})
        return Response(TokenSerializer(token).data)


class DeleteAccountView(MethodNotAllowedFirstMixin, GenericAPIView[User]):
    serializer_class = AccountDeletionSerializer
    permission_classes = [IsAuthenticated]
    http_method_names = ["post"]

    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        password = serializer.validated_data["password"]
        user = confirm_password(request, password)
        if not (user and delete_account(user, password)):
            raise ValidationError({"password": [WRONG_PASSWORD]})
        return Response(status=status.HTTP_204_NO_CONTENT)
